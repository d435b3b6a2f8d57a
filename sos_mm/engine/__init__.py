"""What mmengine's runner needs: random draws that repeat, hooks, and the start of training and testing."""
