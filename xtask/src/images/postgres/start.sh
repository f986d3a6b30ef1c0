#!/bin/sh
# Starts a PostgreSQL on the folder $PGDATA, which it fills first if it is absent: with the role $POSTGRES_USER, who has the password
# $POSTGRES_PASSWORD and may everything, and with the database $POSTGRES_DB. Whoever comes by the network has to speak TLS, with the
# certificate of /etc/postgres/tls. Who is in this container already needs no password.
set -eu
bin=/usr/lib/postgresql/15/bin
data=${PGDATA:?}

if [ ! -s "$data/PG_VERSION" ]; then
  # What a first start left that was broken off: a folder with its final name is whole.
  rm -rf -- "$data.new"
  (umask 077 && printf '%s' "${POSTGRES_PASSWORD:?}" >/tmp/password)
  "$bin/initdb" --pgdata="$data.new" --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
    --username="${POSTGRES_USER:?}" --pwfile=/tmp/password --auth=scram-sha-256
  rm /tmp/password
  printf '%s\n' 'local all all trust' 'hostssl all all all scram-sha-256' >"$data.new/pg_hba.conf"
  printf 'CREATE DATABASE "%s"\n' "${POSTGRES_DB:?}" | "$bin/postgres" --single -D "$data.new" postgres
  mv -- "$data.new" "$data"
fi

"$bin/postgres" -D "$data" \
  -c listen_addresses='*' \
  -c unix_socket_directories=/tmp \
  -c ssl=on \
  -c ssl_cert_file=/etc/postgres/tls/tls.crt \
  -c ssl_key_file=/etc/postgres/tls/tls.key \
  -c jit=off \
  -c timezone=UTC \
  -c log_timezone=UTC \
  -c log_destination=stderr \
  -c logging_collector=off &
postgres=$!
# What a pod is asked to end with would have it wait for all of its clients to go.
trap 'kill -INT "$postgres"' TERM INT
code=0
wait "$postgres" || code=$?
# A signal ends the first wait, and not the database.
while kill -0 "$postgres" 2>/dev/null; do
  code=0
  wait "$postgres" || code=$?
done
exit "$code"
