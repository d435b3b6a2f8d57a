# Model, schedule and runtime of the main config and its variants: children add data.
_base_ = ["models/sod_diffusion_swinb.py", "schedules/sod_diffusion.py", "default_runtime.py"]
# With the optimiser 12 GB each.
default_hooks = dict(checkpoint=dict(interval=10))
# Tested and saved are the weights averaged over about a thousand steps; published ones are not averaged.
custom_hooks = [dict(type="VisitHook"), dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.001)]
