# Model, schedule and runtime of the published form: children add data. Weights are not averaged.
_base_ = ["models/sod_diffusion_swinb.py", "schedules/sod_diffusion_published.py", "default_runtime.py"]
# With the optimiser 12 GB each.
default_hooks = dict(checkpoint=dict(interval=10))
