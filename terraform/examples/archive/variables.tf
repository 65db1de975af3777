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

variable "kms_key_arn" {
  description = "The key for the files and for Kafka's secret."
  type        = string
}

variable "kafka_bootstrap_servers" {
  description = "host:port of some brokers."
  type        = list(string)
}

variable "kafka_secret_arn" {
  description = "A secret with the fields username and password."
  type        = string
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

variable "vpc_cidr" {
  description = "Its addresses, where the interface endpoints of ECR, CloudWatch Logs and Secrets Manager are."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
}

variable "s3_prefix_list_id" {
  description = "The prefix list of the VPC's gateway endpoint for S3."
  type        = string
}

variable "alarm_actions" {
  description = "SNS topics that are told of alarms."
  type        = list(string)
}
