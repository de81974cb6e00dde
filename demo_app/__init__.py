"""A small API with limits of every kind, and a page that shows what they answer."""
