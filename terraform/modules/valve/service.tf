resource "aws_ecs_service" "this" {
  name            = local.id
  cluster         = data.aws_ecs_cluster.this.arn
  task_definition = aws_ecs_task_definition.this.arn
  desired_count   = var.min_processes
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"
  tags            = var.tags

  # New tasks join the group before old ones leave it, so that no partition is ever without an owner for long.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  # An image or settings with which tasks don't live are taken back.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets         = var.subnet_ids
    security_groups = [aws_security_group.this.id]
  }

  # The number of tasks is the autoscaler's.
  lifecycle {
    ignore_changes = [desired_count]
  }

  # Tasks that start without their rights would fail at first.
  depends_on = [aws_iam_role_policy.task, aws_iam_role_policy.execution]
}

resource "aws_security_group" "this" {
  name        = "valve-${var.environment}-${var.name}"
  description = "Tasks of the valve ${var.name}"
  vpc_id      = var.vpc_id
  tags        = var.tags
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each = var.egress

  security_group_id            = aws_security_group.this.id
  description                  = each.key
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  cidr_ipv4                    = each.value.cidr_ipv4
  prefix_list_id               = each.value.prefix_list_id
  referenced_security_group_id = each.value.security_group_id
}

resource "aws_vpc_security_group_ingress_rule" "http" {
  for_each = var.http_from

  security_group_id            = aws_security_group.this.id
  description                  = "status page and metrics, from ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = local.http_port
  to_port                      = local.http_port
  referenced_security_group_id = each.value
}
