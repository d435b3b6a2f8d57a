# Optimiser, rate and clipping of 1 are published; ours are the clipping of all gradients together, the warm-up, the
# decay and the length: 90 epochs of DUTS-TR at 32 images a step are 30,000 iterations.
max_epochs = 90
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=10)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=3e-5, weight_decay=1e-2),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    # To a hundredth at the end. Epoch by epoch: mmengine does not convert `gamma` to iterations.
    dict(type="ExponentialLR", gamma=0.01 ** (1 / max_epochs), by_epoch=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=32)
