"""From Parquet to a decision: reads the record alone."""
