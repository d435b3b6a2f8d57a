"""Extensions of mmengine's runner: reproducible random draws, hooks, and launching of training and testing."""
