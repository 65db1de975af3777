output "service_name" {
  description = "The ECS service."
  value       = aws_ecs_service.this.name
}

output "task_role_name" {
  description = "The valve's role, for further rights, such as on a Kafka cluster that asks IAM."
  value       = aws_iam_role.task.name
}

output "security_group_id" {
  description = "The tasks' security group, to be let in by Kafka, the registry and Consul."
  value       = aws_security_group.this.id
}

output "log_group_name" {
  description = "Where the logs are."
  value       = aws_cloudwatch_log_group.this.name
}

output "alarm_names" {
  description = "All alarms."
  value       = [for alarm in merge(aws_cloudwatch_metric_alarm.plain, aws_cloudwatch_metric_alarm.labelled) : alarm.alarm_name]
}
