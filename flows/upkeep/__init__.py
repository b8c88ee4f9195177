"""A store kept in order: cleaning, erasing, indexes, and a doctor."""
