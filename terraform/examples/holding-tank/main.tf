# The holding tank: every event by the hour in which it arrived, for a month. What valves share comes from Consul, and
# metrics go through a CloudWatch agent.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.70, < 7.0"
    }
    consul = {
      source  = "hashicorp/consul"
      version = "~> 2.20"
    }
  }
}

provider "aws" {
  region = var.region
}

provider "consul" {
  address = var.consul_address
  scheme  = "https"
}

locals {
  # What the valve connects to, and who has to let it in.
  neighbours = {
    kafka    = { port = 9092, security_group_id = var.kafka_security_group_id }
    registry = { port = var.registry_port, security_group_id = var.registry_security_group_id }
    consul   = { port = 8501, security_group_id = var.consul_security_group_id }
  }
}

module "bucket" {
  source = "../../modules/bucket"

  bucket            = var.bucket
  expire_after_days = { "holding-tank" = 31 }
}

module "shared_settings" {
  source = "../../modules/consul-keys"

  environment = var.environment
  settings = {
    "kafka.bootstrap_servers" = join(",", var.kafka_bootstrap_servers)
    "registry.url"            = var.registry_url
    # Any property of librdkafka can be set so.
    "kafka.properties.socket.keepalive.enable" = "true"
  }
}

module "own_settings" {
  source = "../../modules/consul-keys"

  environment = module.shared_settings.environment
  valve       = "holding-tank"
  settings = {
    "batch.max_age" = "5 min"
  }
}

module "holding_tank" {
  source = "../../modules/valve"

  name = "holding-tank"
  # After the keys, which tasks read at their start. By depends_on each changed key would put off the module's data to the
  # apply, and Terraform would replace the service for it.
  environment = module.own_settings.environment
  image       = var.image

  settings = {
    "topics"    = "registry"
    "timestamp" = "processing"
  }
  consul = {
    address          = var.consul_address
    ssl              = true
    token_secret_arn = var.consul_token_secret_arn
  }

  bucket = module.bucket.bucket
  prefix = "holding-tank"
  region = var.region

  cpu           = 1024
  memory        = 2048
  min_processes = 2
  max_processes = 8
  metrics       = "statsd"
  agent_image   = var.agent_image

  cluster    = var.cluster
  vpc_id     = var.vpc_id
  subnet_ids = var.subnet_ids
  egress = merge(local.neighbours, {
    https = { port = 443, cidr_ipv4 = "0.0.0.0/0" }
  })

  alarm_actions = var.alarm_actions
}

# Their side of the same connections.
resource "aws_vpc_security_group_ingress_rule" "neighbours" {
  for_each = local.neighbours

  security_group_id            = each.value.security_group_id
  description                  = "the valve holding-tank"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = module.holding_tank.security_group_id
}

output "service_name" {
  description = "The service to look at, and the name of its dashboard."
  value       = module.holding_tank.service_name
}

output "security_group_id" {
  description = "For whoever else has to let the tasks in."
  value       = module.holding_tank.security_group_id
}

output "task_role_name" {
  description = "For further rights."
  value       = module.holding_tank.task_role_name
}
