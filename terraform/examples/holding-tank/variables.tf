variable "environment" {
  description = "Such as prod."
  type        = string
}

variable "image" {
  description = "valve's image, by its digest."
  type        = string
}

variable "region" {
  description = "The AWS region."
  type        = string
}

variable "bucket" {
  description = "The bucket to make."
  type        = string
}

variable "kafka_bootstrap_servers" {
  description = "host:port of some brokers."
  type        = list(string)
}

variable "kafka_security_group_id" {
  description = "The brokers' security group."
  type        = string
}

variable "registry_url" {
  description = "The schema registry."
  type        = string
}

variable "registry_port" {
  description = "The port in that URL, 443 where it has none."
  type        = number
}

variable "registry_security_group_id" {
  description = "The security group of the registry, or of the load balancer before it."
  type        = string
}

variable "cluster" {
  description = "The ECS cluster's name."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
}

variable "alarm_actions" {
  description = "SNS topics that are told of alarms."
  type        = list(string)
}

variable "consul_address" {
  description = "host:port of Consul, which speaks TLS. Where its certificate is of an authority of your own, see terraform/README.md."
  type        = string
}

variable "consul_security_group_id" {
  description = "Consul's security group."
  type        = string
}

variable "consul_token_secret_arn" {
  description = "The secret that is valve's token. Its policy needs two rules: key_prefix \"data-pipeline/<environment>/\" { policy = \"read\" } and, whether there is such a key or not, key \"data-pipeline/<environment>\" { policy = \"read\" }."
  type        = string
}

variable "agent_image" {
  description = "The CloudWatch agent's image, pinned."
  type        = string
}
