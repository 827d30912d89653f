"""Records to tables: means with intervals, ranks, significance groups and sentences; imports no torch."""
