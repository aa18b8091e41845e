"""A problem in integers: the law, how users write it, and one side of it as a task."""
