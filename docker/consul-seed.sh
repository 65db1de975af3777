#!/bin/sh
# What the valves of docker-compose.yml share, as the keys that they read.
set -eu
put() { consul kv put "data-pipeline/compose/$1" "$2"; }
put kafka/bootstrap_servers kafka:9092
put registry/url http://registry:8080/apis/ccompat/v7
put sink/bucket events
put sink/region us-east-1
put sink/endpoint http://s3:7070
put sink/path_style true
# Small batches, so that files appear while one looks.
put batch/max_age "30 s"
