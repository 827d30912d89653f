"""Files of a run beside its records: previews, removal frames and segment tables."""
