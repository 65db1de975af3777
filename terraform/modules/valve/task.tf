# The task: valve, and with metrics = "statsd" the CloudWatch agent beside it.

locals {
  # Names that mustn't have dots.
  id = "valve-${var.environment}-${replace(var.name, ".", "-")}"

  log_options = {
    awslogs-group  = aws_cloudwatch_log_group.this.name
    awslogs-region = var.region
    # Were writing to block, an outage of CloudWatch Logs would stop valve.
    mode            = "non-blocking"
    max-buffer-size = "16m"
  }

  agent_memory = 256

  valve_container = {
    name      = "valve"
    image     = var.image
    command   = ["run"]
    essential = true
    # The limit that valve's memory budget is a share of.
    memory = var.memory - (var.metrics == "statsd" ? local.agent_memory : 0)

    environment = [for name, value in local.environment : { name = name, value = value }]
    secrets     = [for name, arn in local.secrets : { name = name, valueFrom = arn }]

    # Valve writes no file but to the store.
    readonlyRootFilesystem = true
    user                   = "65532:65532"
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    # A connection to each broker for each lane, and those to the store.
    ulimits = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]

    portMappings = [{ containerPort = local.http_port, protocol = "tcp" }]
    # Fails only for what a restart mends.
    healthCheck = {
      command     = ["CMD", "valve", "healthcheck"]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = 60
    }
    # SIGTERM comes first. Within the deadline valve stores what it has read, and it takes five seconds more to leave the group.
    stopTimeout = var.shutdown_deadline + 10

    # So the agent is there from the first metric to the last: what others depend on is stopped after them.
    dependsOn = var.metrics == "statsd" ? [{ containerName = "agent", condition = "START" }] : []

    logConfiguration = {
      logDriver = "awslogs"
      options   = merge(local.log_options, { awslogs-stream-prefix = "valve" })
    }
  }

  # The agent adds the dimension metric_type to what StatsD brings. Each set of dimensions here is published a second time
  # without it: those are what policies, alarms and the dashboard look at, as they do with metrics = "emf".
  agent_config = {
    agent = { omit_hostname = true }
    metrics = {
      namespace = var.name
      aggregation_dimensions = [
        for label in ["", "topic", "exception", "dependency", "reason", "change"] :
        concat(["CONSUMER_GROUP", "ENVIRONMENT"], label == "" ? [] : [label])
      ]
      metrics_collected = {
        # Gauges are read once in each interval. Once a minute, as with metrics = "emf": were it oftener, their sum over a
        # minute would be as many times the sum over the processes.
        statsd = {
          service_address              = "127.0.0.1:${local.statsd_port}"
          metrics_collection_interval  = 60
          metrics_aggregation_interval = 60
        }
      }
    }
  }

  agent_container = {
    name      = "agent"
    image     = var.agent_image
    memory    = local.agent_memory
    essential = false
    # Without metrics valve works on, but nobody scales it.
    restartPolicy = { enabled = true }
    environment   = [{ name = "CW_CONFIG_CONTENT", value = jsonencode(local.agent_config) }]
    logConfiguration = {
      logDriver = "awslogs"
      options   = merge(local.log_options, { awslogs-stream-prefix = "agent" })
    }
  }

  containers = concat(
    [local.valve_container],
    [for container in [local.agent_container] : container if var.metrics == "statsd"],
  )
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/valve/${var.environment}/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.id
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode(local.containers)
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }
}
