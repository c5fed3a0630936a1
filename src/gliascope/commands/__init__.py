"""The verbs in a row, one file each. The only place that knows both halves."""
