#!/bin/sh
# KAFKA_NODE_ID=1 in the environment is node.id=1 in the broker's properties.
set -eu
properties=/tmp/server.properties
echo log.dirs=/tmp/kafka-logs > "$properties"
env | sed -n 's/^KAFKA_//p' | while IFS='=' read -r name value; do
    printf '%s=%s\n' "$(printf %s "$name" | tr 'A-Z_' 'a-z.')" "$value" >> "$properties"
done
export CLASSPATH='/opt/kafka/libs/*' JDK_JAVA_OPTIONS='-Xms256m -Xmx512m -XX:+UseSerialGC'
java kafka.tools.StorageTool format --ignore-formatted -t 5L6g3nShT-eMCtK--X86sw -c "$properties"
exec java kafka.Kafka "$properties"
