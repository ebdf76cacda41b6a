"""The report's page: its HTML, its style, what moves on it, and how they become one file."""
