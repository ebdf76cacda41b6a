"""The search: what Ray and Optuna are told, and the record of it."""
