terraform {
  # 1.9 lets a variable's validation look at other variables.
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.70, < 7.0"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_ecs_cluster" "this" {
  cluster_name = var.cluster
}
