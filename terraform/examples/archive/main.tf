# The archive: every event by the hour in which it happened, for good. All settings are environment variables.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.70, < 7.0"
    }
  }
}

provider "aws" {
  region = var.region
}

locals {
  # What the valve connects to, and who has to let it in.
  neighbours = {
    kafka    = { port = 9096, security_group_id = var.kafka_security_group_id }
    registry = { port = var.registry_port, security_group_id = var.registry_security_group_id }
  }
}

module "bucket" {
  source = "../../modules/bucket"

  bucket      = var.bucket
  kms_key_arn = var.kms_key_arn
}

module "archive" {
  source = "../../modules/valve"

  name        = "archive"
  environment = var.environment
  image       = var.image

  settings = {
    "topics"                  = "registry"
    "kafka.bootstrap_servers" = join(",", var.kafka_bootstrap_servers)
    # How the brokers are spoken to; any property of librdkafka can be set so.
    "kafka.properties.security.protocol" = "sasl_ssl"
    "kafka.properties.sasl.mechanism"    = "SCRAM-SHA-512"
    "registry.url"                       = var.registry_url
    "timestamp"                          = "field:created_at,kafka"
    # As in config/archive.toml: all readers know it. zstd's files are smaller, but what AWS lists for Redshift Spectrum is
    # gzip, snappy and bzip2.
    "codec" = "snappy"
  }
  secrets = {
    "kafka.properties.sasl.username" = "${var.kafka_secret_arn}:username::"
    "kafka.properties.sasl.password" = "${var.kafka_secret_arn}:password::"
  }
  secrets_kms_key_arns = [var.kms_key_arn]

  bucket      = module.bucket.bucket
  prefix      = "archive"
  region      = var.region
  kms_key_arn = var.kms_key_arn

  cpu           = 2048
  memory        = 4096
  min_processes = 2
  max_processes = 12

  cluster    = var.cluster
  vpc_id     = var.vpc_id
  subnet_ids = var.subnet_ids
  egress = merge(local.neighbours, {
    endpoints = { port = 443, cidr_ipv4 = var.vpc_cidr }
    s3        = { port = 443, prefix_list_id = var.s3_prefix_list_id }
  })

  alarm_actions = var.alarm_actions
}

# Their side of the same connections.
resource "aws_vpc_security_group_ingress_rule" "neighbours" {
  for_each = local.neighbours

  security_group_id            = each.value.security_group_id
  description                  = "the valve archive"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = module.archive.security_group_id
}

output "service_name" {
  description = "The service to look at, and the name of its dashboard."
  value       = module.archive.service_name
}

output "security_group_id" {
  description = "For whoever else has to let the tasks in."
  value       = module.archive.security_group_id
}

output "task_role_name" {
  description = "For further rights."
  value       = module.archive.task_role_name
}
