#!/bin/sh
# Start the three servers anew, one after the other, each when the one before it answers: from a new image, or with other
# files in secrets/. docs/hosting.md says when. It ends at the first server that does not answer; the others go on.
set -eu
cd "$(dirname "$0")"
for name in zinc-0 zinc-1 zinc-2; do
    docker compose up --detach --no-deps --force-recreate --wait "$name"
    # A container that is made anew may have another address, and nginx looks for addresses only when it is started.
    docker compose exec -T nginx nginx -s reload
done
