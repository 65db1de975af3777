# The holding tank: every event by the hour in which it arrived, for a month. What valves share comes from Consul, and
# metrics go through a CloudWatch agent.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.60, < 7.0"
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

  environment = var.environment
  valve       = "holding-tank"
  settings = {
    "batch.max_age" = "5 min"
  }
}

module "holding_tank" {
  source = "../../modules/valve"

  name        = "holding-tank"
  environment = var.environment
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
  egress = {
    kafka  = { port = 9092, security_group_id = var.kafka_security_group_id }
    consul = { port = 8501, cidr_ipv4 = var.vpc_cidr }
    https  = { port = 443, cidr_ipv4 = "0.0.0.0/0" }
  }

  alarm_actions = var.alarm_actions
}

output "dashboard_of" {
  description = "The service to look at."
  value       = module.holding_tank.service_name
}
