"""Translation of large files: the input is divided into shards, and a killed run can be continued."""
