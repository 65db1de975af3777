# --- What the valve is.

variable "name" {
  description = "The valve's name: consumer group, suffix of the dead-letter topic, namespace of its metrics. Never change it: another name is another group, which begins anew."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", var.name))
    error_message = "Letters, digits, '.', '_' and '-', at most 64."
  }
}

variable "environment" {
  description = "The metrics' dimension ENVIRONMENT, and a part of the path in Consul."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.environment))
    error_message = "Letters, digits, '_' and '-', at most 64: names in AWS have it, and not all of those may have dots."
  }
}

variable "image" {
  description = "The image, best by its digest: registry/valve@sha256:… Files that settings name, such as certificates, must be in it."
  type        = string
}

variable "settings" {
  description = "Settings by valve's own names, such as { \"timestamp\" = \"field:created_at,kafka\" }. Those that have a variable here are refused."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setintersection(keys(var.settings), [
      "name", "environment", "sink.type", "sink.bucket", "sink.prefix", "sink.region", "sink.sse", "sink.kms_key_id",
      "batch.max_records", "shutdown.deadline", "http.listen", "metrics.emf", "metrics.statsd",
    ])) == 0
    error_message = "One of these follows from a variable of the module: set that instead."
  }

  validation {
    condition     = !contains(keys(var.settings), "sink.acl")
    error_message = "sink.acl: the role may not set ACLs, and the bucket of modules/bucket takes none."
  }
}

variable "secrets" {
  description = "Settings whose values are secrets: name to the ARN of a secret in Secrets Manager or of a parameter in the Parameter Store, such as { \"registry.password\" = \"arn:…\" }."
  type        = map(string)
  default     = {}
}

variable "secrets_kms_key_arns" {
  description = "The keys with which those secrets are encrypted, where they aren't AWS's own."
  type        = list(string)
  default     = []
}

variable "consul" {
  description = "Where shared settings come from: address (host:port), whether by TLS, and the ARN of the secret that is the token. An authority of your own must be in the image (CONSUL_CACERT, see README.md). Null: no Consul."
  type = object({
    address          = string
    ssl              = optional(bool, true)
    token_secret_arn = optional(string)
  })
  default = null
}

# --- Where its files go.

variable "bucket" {
  description = "The bucket's name."
  type        = string
}

variable "prefix" {
  description = "What every key begins with, without slashes at its ends; empty for none. The valve may write below it only."
  type        = string
  default     = ""

  validation {
    condition     = var.prefix == "" || can(regex("^[^/].*[^/]$|^[^/]$", var.prefix))
    error_message = "No slash at either end."
  }
}

variable "region" {
  description = "The region of the service, its logs and the bucket."
  type        = string
}

variable "kms_key_arn" {
  description = "The key with which the files are encrypted. Null: as the bucket does it by default. Must be given where that is with a customer key, which the role may not use otherwise."
  type        = string
  default     = null
}

# --- How large it is.

variable "cpu" {
  description = "CPU units of a task: 1024 are one core. As many lanes run as there are cores."
  type        = number
  default     = 1024
}

variable "memory" {
  description = "MiB of memory of a task. Must be a size that Fargate has for that many CPU units."
  type        = number
  default     = 2048

  # A process may take its budget (40 %) and 64 MiB. Were that more than nine tenths of the 60 % that are tracked, the memory
  # policy would never agree to scale in.
  validation {
    condition     = 0.4 * (var.memory - (var.metrics == "statsd" ? 256 : 0)) + 64 < 0.9 * 0.6 * (var.memory - (var.metrics == "statsd" ? 256 : 0))
    error_message = "At least 512 MiB with metrics = \"emf\", 1024 MiB with \"statsd\"."
  }
}

variable "architecture" {
  description = "X86_64 or ARM64: what the image is for."
  type        = string
  default     = "X86_64"
}

variable "min_processes" {
  description = "Tasks at least. With none there would be no metric to scale out on."
  type        = number
  default     = 2

  validation {
    condition     = var.min_processes >= 1
    error_message = "At least 1."
  }
}

variable "max_processes" {
  description = "Tasks at most. More lanes (tasks times cores) than partitions have nothing to do."
  type        = number
  default     = 12

  validation {
    condition     = var.max_processes >= var.min_processes
    error_message = "Not below min_processes."
  }
}

variable "batch_max_records" {
  description = "The setting batch.max_records; 25 times it is the offset lag that is tracked."
  type        = number
  default     = 1000000
}

variable "shutdown_deadline" {
  description = "The setting shutdown.deadline, in seconds. ECS kills ten seconds later, which Fargate allows after 120 s at most."
  type        = number
  default     = 90

  validation {
    condition     = var.shutdown_deadline >= 10 && var.shutdown_deadline <= 110
    error_message = "10 to 110 seconds."
  }
}

# --- Where it runs.

variable "cluster" {
  description = "The ECS cluster's name."
  type        = string
}

variable "vpc_id" {
  description = "The VPC of the subnets."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, in several zones."
  type        = list(string)
}

variable "egress" {
  description = "Where tasks may connect to: Kafka's brokers, the registry, Consul, and port 443 of AWS's services (S3, ECR, logs, secrets). One of the three destinations each."
  type = map(object({
    port              = number
    cidr_ipv4         = optional(string)
    prefix_list_id    = optional(string)
    security_group_id = optional(string)
  }))
}

variable "http_from" {
  description = "Security groups that may reach the status page and /metrics on port 8080, by a name each. Neither asks who one is."
  type        = map(string)
  default     = {}
}

# --- How one knows how it is.

variable "metrics" {
  description = "emf: metrics go out with the logs. statsd: a CloudWatch agent beside valve takes them."
  type        = string
  default     = "emf"

  validation {
    condition     = contains(["emf", "statsd"], var.metrics)
    error_message = "emf or statsd."
  }
}

variable "agent_image" {
  description = "The CloudWatch agent's image, for metrics = \"statsd\". Pin it."
  type        = string
  default     = "public.ecr.aws/cloudwatch-agent/cloudwatch-agent:latest"
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
}

variable "alarm_actions" {
  description = "What is told of an alarm and of its end: ARNs of SNS topics."
  type        = list(string)
  default     = []
}

variable "max_dead_letters" {
  description = "So many dead letters in five minutes are an alarm."
  type        = number
  default     = 1000
}

variable "tags" {
  description = "Tags of everything that can have some."
  type        = map(string)
  default     = {}
}
