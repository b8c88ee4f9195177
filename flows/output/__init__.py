"""What people and programs are shown, and what is never shown."""
