"""From a request to records: plan the cells, then compute those that are not there yet."""
