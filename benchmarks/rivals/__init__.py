"""What a user would pick instead of this project, each as its own program that knows nothing of it."""
