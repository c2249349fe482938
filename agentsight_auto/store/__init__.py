"""The embedded store: schema, migrations, ingest and edits on one SQLite file. Imports nothing by itself."""
