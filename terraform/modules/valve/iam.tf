# Two roles: what the valve may do, and what ECS may do to start it. Neither may do anything else.

locals {
  arn        = "arn:${data.aws_partition.current.partition}"
  bucket_arn = "${local.arn}:s3:::${var.bucket}"
  objects    = var.prefix == "" ? "${local.bucket_arn}/*" : "${local.bucket_arn}/${var.prefix}/*"

  secret_arns    = values(local.secrets)
  secret_manager = [for arn in local.secret_arns : arn if can(regex(":secretsmanager:", arn))]
  # The ARN of one field of a secret has the field behind the secret's own.
  whole_secrets   = [for arn in local.secret_manager : join(":", slice(split(":", arn), 0, 7))]
  parameter_store = [for arn in local.secret_arns : arn if can(regex(":ssm:", arn))]
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    # Only for tasks of this account.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

# --- The valve.

data "aws_iam_policy_document" "task" {
  # Reads its files back after a takeover and in an audit. It can't delete one, and never writes over one.
  statement {
    sid       = "Files"
    actions   = ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"]
    resources = [local.objects]
  }

  # What `valve check` has put there to try the store out, and nothing else.
  statement {
    sid       = "Check"
    actions   = ["s3:DeleteObject"]
    resources = ["${trimsuffix(local.objects, "*")}_valve_check/*"]
  }

  # Without this right S3 answers 403 for an object that isn't there, and valve would wait for it to be granted. That question
  # has no prefix; a list has one, which must be the valve's own.
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]
    dynamic "condition" {
      for_each = var.prefix == "" ? [] : [var.prefix]
      content {
        test     = "StringLikeIfExists"
        variable = "s3:prefix"
        values   = ["${condition.value}/*"]
      }
    }
  }

  # What a crash left behind.
  statement {
    sid       = "Uploads"
    actions   = ["s3:ListBucketMultipartUploads"]
    resources = [local.bucket_arn]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]
    content {
      sid       = "Key"
      actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
      resources = [statement.value]
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.region}.${data.aws_partition.current.dns_suffix}"]
      }
    }
  }

  # The agent beside valve. The action knows no resources.
  dynamic "statement" {
    for_each = var.metrics == "statsd" ? [var.name] : []
    content {
      sid       = "Metrics"
      actions   = ["cloudwatch:PutMetricData"]
      resources = ["*"]
      condition {
        test     = "StringEquals"
        variable = "cloudwatch:namespace"
        values   = [statement.value]
      }
    }
  }
}

resource "aws_iam_role" "task" {
  name_prefix        = "valve-task-"
  description        = "The valve ${var.name} of ${var.environment}"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "task" {
  name   = "valve"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

# --- ECS: the image, the logs, the secrets.

data "aws_iam_policy_document" "execution" {
  # Asking for a token knows no resources. Which images it reads is for the repository's policy to say.
  statement {
    sid = "Image"
    actions = [
      "ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }

  dynamic "statement" {
    for_each = length(local.whole_secrets) == 0 ? [] : [local.whole_secrets]
    content {
      sid       = "Secrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = length(local.parameter_store) == 0 ? [] : [local.parameter_store]
    content {
      sid       = "Parameters"
      actions   = ["ssm:GetParameters"]
      resources = statement.value
    }
  }

  dynamic "statement" {
    for_each = length(var.secrets_kms_key_arns) == 0 ? [] : [var.secrets_kms_key_arns]
    content {
      sid       = "SecretKeys"
      actions   = ["kms:Decrypt"]
      resources = statement.value
    }
  }
}

resource "aws_iam_role" "execution" {
  name_prefix        = "valve-execution-"
  description        = "Starts the valve ${var.name} of ${var.environment}"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "execution" {
  name   = "valve"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}
