# Target tracking on what valve publishes. A process publishes the worst of its partitions, and CloudWatch's maximum is the
# worst of all processes: one partition that lags is enough to scale out, and nobody scales in before all are well.
#
# - Out: when one of the three is above its target for three minutes. In: when all three are below nine tenths of theirs for
#   fifteen minutes. A partition that is idle counts as 0, so an idle valve goes down to `min_processes`.
# - Without data (no process lives, CloudWatch is away) the alarms are in INSUFFICIENT_DATA, and nothing is scaled. ECS starts
#   tasks that ended by itself; the alarm `no-data` tells.
# - A partition that is held for a person lags whatever is done, so the number goes to `max_processes` and stays there until
#   somebody has looked. The alarm `held` tells.

locals {
  dimensions = {
    CONSUMER_GROUP = var.name
    ENVIRONMENT    = var.environment
  }

  # src/telemetry/scaling_tests.rs has a day under these targets and cooldowns.
  targets = {
    max_offset_lag = 25 * var.batch_max_records
    max_time_lag   = 7200
    memory_percent = 60
  }
  scale_out_cooldown = 120
  scale_in_cooldown  = 600
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${var.cluster}/${aws_ecs_service.this.name}"
  min_capacity       = var.min_processes
  max_capacity       = var.max_processes
}

resource "aws_appautoscaling_policy" "this" {
  for_each = local.targets

  name               = "valve-${var.environment}-${var.name}-${each.key}"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = each.value
    scale_out_cooldown = local.scale_out_cooldown
    scale_in_cooldown  = local.scale_in_cooldown

    # No unit: with StatsD there is none.
    customized_metric_specification {
      namespace   = var.name
      metric_name = each.key
      statistic   = "Maximum"

      dynamic "dimensions" {
        for_each = local.dimensions
        content {
          name  = dimensions.key
          value = dimensions.value
        }
      }
    }
  }
}
