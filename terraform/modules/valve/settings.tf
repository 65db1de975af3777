# Valve's settings, as the environment variables by which a task gets them.

locals {
  http_port   = 8080
  statsd_port = 8125

  # What follows from the module's variables. An empty one is left out.
  own_settings = {
    "name"              = var.name
    "environment"       = var.environment
    "sink.type"         = "s3"
    "sink.bucket"       = var.bucket
    "sink.prefix"       = var.prefix
    "sink.region"       = var.region
    "sink.sse"          = var.kms_key_arn == null ? "" : "aws:kms"
    "sink.kms_key_id"   = var.kms_key_arn == null ? "" : var.kms_key_arn
    "batch.max_records" = tostring(var.batch_max_records)
    "shutdown.deadline" = "${var.shutdown_deadline}s"
    "http.listen"       = "0.0.0.0:${local.http_port}"
    "metrics.emf"       = tostring(var.metrics == "emf")
    "metrics.statsd"    = var.metrics == "statsd" ? "127.0.0.1:${local.statsd_port}" : ""
  }

  plain_settings = merge(var.settings, local.own_settings)

  # `sink.bucket` is VALVE_SINK__BUCKET. The names of librdkafka's properties have dots of their own, which become `_`.
  variable_of = {
    for name in concat(keys(local.plain_settings), keys(var.secrets)) : name => (
      startswith(name, "kafka.properties.")
      ? "VALVE_KAFKA__PROPERTIES__${upper(replace(trimprefix(name, "kafka.properties."), ".", "_"))}"
      : "VALVE_${upper(replace(name, ".", "__"))}"
    )
  }

  consul_environment = var.consul == null ? {} : {
    CONSUL_HTTP_ADDR = var.consul.address
    CONSUL_HTTP_SSL  = tostring(var.consul.ssl)
  }
  consul_secrets = var.consul == null ? {} : {
    for arn in [var.consul.token_secret_arn] : "CONSUL_HTTP_TOKEN" => arn if arn != null
  }

  environment = merge(
    { for name, value in local.plain_settings : local.variable_of[name] => value if value != "" },
    local.consul_environment,
  )
  secrets = merge(
    { for name, arn in var.secrets : local.variable_of[name] => arn },
    local.consul_secrets,
  )
}
