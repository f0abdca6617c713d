"""What runs Milieu elsewhere than in a process of its own."""
