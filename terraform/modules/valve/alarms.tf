# docs/operations.md says of each alarm what to do about it.

locals {
  # On one metric without labels of its own.
  alarms = {
    no-data = {
      metric      = "assigned_partitions"
      statistic   = "SampleCount"
      comparison  = "LessThanThreshold"
      threshold   = 1
      minutes     = 5
      missing     = "breaching"
      description = "No process publishes anything."
    }
    # The maximum over all processes: one that has none is well where there are more lanes than partitions.
    unassigned = {
      metric      = "assigned_partitions"
      statistic   = "Maximum"
      comparison  = "LessThanThreshold"
      threshold   = 1
      minutes     = 10
      missing     = "ignore"
      description = "Processes run, and none of them owns a partition: nothing is consumed. `valve check` says what is in the way."
    }
    held = {
      metric      = "held_partitions"
      statistic   = "Maximum"
      comparison  = "GreaterThanThreshold"
      threshold   = 0
      minutes     = 5
      missing     = "ignore"
      description = "Partitions are held until somebody has looked. /readyz and the log say why; no restart mends it."
    }
    stalls = {
      metric      = "stalls"
      statistic   = "Sum"
      comparison  = "GreaterThanThreshold"
      threshold   = 0
      minutes     = 1
      missing     = "notBreaching"
      description = "A lane made no progress although there is a backlog. /readyz and the log say what it waits for."
    }
    time-lag = {
      metric      = "max_time_lag"
      statistic   = "Maximum"
      comparison  = "GreaterThanThreshold"
      threshold   = local.targets.max_time_lag
      minutes     = 15
      missing     = "ignore"
      description = "The oldest record that isn't stored is older than two hours, and scaling out didn't help."
    }
    offset-lag = {
      metric      = "max_offset_lag"
      statistic   = "Maximum"
      comparison  = "GreaterThanThreshold"
      threshold   = local.targets.max_offset_lag
      minutes     = 15
      missing     = "ignore"
      description = "A partition is more than 25 batches behind, and scaling out didn't help."
    }
    lag-unknown = {
      metric      = "lag_age"
      statistic   = "Maximum"
      comparison  = "GreaterThanThreshold"
      threshold   = 120
      minutes     = 10
      missing     = "ignore"
      description = "Kafka doesn't say where the logs end, so the lag may be larger than it seems."
    }
    memory = {
      metric      = "memory_percent"
      statistic   = "Maximum"
      comparison  = "GreaterThanThreshold"
      threshold   = 85
      minutes     = 5
      missing     = "ignore"
      description = "A process uses most of its container's memory."
    }
  }

  # On a metric that has a label of its own, over all its values. (An alarm can't be on a SEARCH.)
  labelled_alarms = {
    dead-letters = {
      metric      = "dead_letters"
      label       = "exception"
      function    = "SUM"
      threshold   = var.max_dead_letters
      period      = 300
      periods     = 1
      description = "Many records can't be stored: `valve deadletters list` says why, docs/dead-letters.md what to do."
    }
    lost-offsets = {
      metric      = "lost_offsets"
      label       = "topic"
      function    = "SUM"
      threshold   = 0
      period      = 60
      periods     = 1
      description = "Offsets were gone before they could be read: retention is shorter than the lag. The log has the ranges."
    }
    dependency = {
      metric      = "holds"
      label       = "dependency"
      function    = "MAX"
      threshold   = 0
      period      = 60
      periods     = 10
      description = "Valve waits for Kafka, the registry, the store or the dead-letter topic, or for a person. /readyz says why."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "plain" {
  for_each = local.alarms

  alarm_name          = "valve-${var.environment}-${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = var.name
  metric_name         = each.value.metric
  dimensions          = local.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "labelled" {
  for_each = local.labelled_alarms

  alarm_name          = "valve-${var.environment}-${var.name}-${each.key}"
  alarm_description   = each.value.description
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags

  metric_query {
    id          = "q1"
    period      = each.value.period
    return_data = true
    expression = join(" ", [
      "SELECT ${each.value.function}(${each.value.metric})",
      "FROM SCHEMA(\"${var.name}\", CONSUMER_GROUP, ENVIRONMENT, \"${each.value.label}\")",
      "WHERE CONSUMER_GROUP = '${var.name}' AND ENVIRONMENT = '${var.environment}'",
    ])
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.id
  dashboard_body = templatefile("${path.module}/../../../docker/cloudwatch-dashboard.json", {
    namespace   = var.name
    valve       = var.name
    environment = var.environment
    region      = var.region
  })
}
