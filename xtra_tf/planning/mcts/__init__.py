"""Monte-Carlo tree search: pure functions on batched trees."""
