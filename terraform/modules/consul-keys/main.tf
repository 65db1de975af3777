# Settings in Consul's key-value store: those that all valves of an environment share, or those of one valve, which come
# before them. One key for each setting. No secrets: see `secrets` of the valve's module.

terraform {
  required_version = ">= 1.9"

  required_providers {
    consul = {
      source  = "hashicorp/consul"
      version = "~> 2.20"
    }
  }
}

variable "environment" {
  description = "The valves' environment."
  type        = string
}

variable "valve" {
  description = "The valve's name; null for what all valves of the environment share."
  type        = string
  default     = null
}

variable "settings" {
  description = "Settings by valve's own names, such as { \"kafka.bootstrap_servers\" = \"kafka-1:9092,kafka-2:9092\" }."
  type        = map(string)
}

locals {
  folder = var.valve == null ? "data-pipeline/${var.environment}" : "data-pipeline/${var.environment}/${var.valve}"
  # `sink.bucket` is sink/bucket. The names of librdkafka's properties keep their dots.
  keys = {
    for name, value in var.settings : "${local.folder}/${
      startswith(name, "kafka.properties.")
      ? "kafka/properties/${trimprefix(name, "kafka.properties.")}"
      : replace(name, ".", "/")
    }" => value
  }
}

# Only these keys are managed; others in the folder are left alone.
resource "consul_keys" "this" {
  dynamic "key" {
    for_each = local.keys
    content {
      path   = key.key
      value  = key.value
      delete = true
    }
  }
}

output "environment" {
  description = "The environment, once the keys are there: whoever names it by this comes after them."
  value       = var.environment
  depends_on  = [consul_keys.this]
}
