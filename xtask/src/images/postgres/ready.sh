#!/bin/sh
# Whether the database of this container takes connections.
exec /usr/lib/postgresql/15/bin/pg_isready --quiet --host=/tmp --username="$POSTGRES_USER" --dbname="$POSTGRES_DB"
