{{/* The name of all objects. */}}
{{- define "graphrelay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "graphrelay.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "graphrelay.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "graphrelay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "graphrelay.selector" -}}
app.kubernetes.io/name: {{ include "graphrelay.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "graphrelay.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "graphrelay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "graphrelay.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/*
The configuration, as YAML that a template can read. What the pod depends on is
examined here; graphrelay examines the rest at its start.
*/}}
{{- define "graphrelay.config" -}}
{{- $c := fromYaml .Values.config -}}
{{- if hasKey $c "Error" -}}
{{- fail (printf "config is not YAML: %s" $c.Error) -}}
{{- end -}}
{{- $queue := $c.queue | default dict -}}
{{- if and $queue.store $queue.store_url_file -}}
{{- fail "config: queue has both store and store_url_file; write store for a queue on the volume, store_url_file for PostgreSQL" -}}
{{- else if $queue.store_url_file -}}
{{- include "graphrelay.inSecret" (list . "config: queue.store_url_file" $queue.store_url_file) -}}
{{- with .Values.postgres.caFile -}}
{{- include "graphrelay.inSecret" (list $ "postgres.caFile" .) -}}
{{- end -}}
{{- else if .Values.postgres -}}
{{- fail "postgres: the queue of config is on the volume; write queue.store_url_file instead of queue.store, or leave postgres out" -}}
{{- else if not (hasPrefix "sqlite:/data/" ($queue.store | default "")) -}}
{{- fail "config: queue.store is not on the volume; write store: sqlite:/data/queue.db" -}}
{{- end -}}
{{- if not (hasPrefix "unix:/run/graphrelay/" ((($c.admin | default dict).address) | default "unix:/run/graphrelay/")) -}}
{{- fail "config: admin.address is in a folder that cannot be written; leave it out" -}}
{{- end -}}
{{- range $c.identities -}}
{{- if and .workload_identity (not $.Values.workloadIdentity.enabled) -}}
{{- fail "config: workload_identity needs workloadIdentity.enabled: true, with the clientId" -}}
{{- end -}}
{{- end -}}
{{- $metrics := (($c.metrics | default dict).address) | default "" -}}
{{- if not (include "graphrelay.port" $metrics) -}}
{{- fail "config: metrics.address cannot be reached by the probes; write address: 0.0.0.0:9725" -}}
{{- end -}}
{{- $ports := list (include "graphrelay.port" $metrics) -}}
{{- range (($c.smtp | default dict).listeners) -}}
{{- $ports = append $ports (include "graphrelay.port" .address) -}}
{{- end -}}
{{- range $ports -}}
{{- if and . (lt (int .) 1024) -}}
{{- fail (printf "config: port %s needs a privilege; write one from 1024 up, as 2525" .) -}}
{{- end -}}
{{- end -}}
{{- range .Values.service.ports -}}
{{- if not (has (toString .targetPort) (rest $ports)) -}}
{{- fail (printf "service.ports: no listener of config has port %v; correct targetPort of %s" .targetPort .name) -}}
{{- end -}}
{{- end -}}
{{- toYaml $c -}}
{{- end -}}

{{/* Fails if a file of a list (context, what names it, its path) is in no Secret that is mounted. */}}
{{- define "graphrelay.inSecret" -}}
{{- $parts := splitList "/" (last .) -}}
{{- if or (ne (len $parts) 4) (not (hasPrefix "/secrets/" (last .))) (not (has (index $parts 2) (first .).Values.secrets)) -}}
{{- fail (printf "%s is in none of the Secrets; name the Secret in secrets, and write /secrets/NAME/KEY" (index . 1)) -}}
{{- end -}}
{{- end -}}

{{/* The file with the URL of the database with the queue; empty for a queue on the volume. */}}
{{- define "graphrelay.database" -}}
{{- ((include "graphrelay.config" . | fromYaml).queue | default dict).store_url_file | default "" -}}
{{- end -}}

{{/* The port of an address that other hosts reach; empty for others. */}}
{{- define "graphrelay.port" -}}
{{- if not (regexMatch "^(unix:|systemd:|127\\.|localhost:|\\[::1\\])" (toString .)) -}}
{{- regexFind ":[0-9]+$" (toString .) | trimPrefix ":" -}}
{{- end -}}
{{- end -}}

{{/* What only a start reads: a change of it replaces the pod. */}}
{{- define "graphrelay.startOnly" -}}
{{- $c := include "graphrelay.config" . | fromYaml -}}
{{- $queue := $c.queue | default dict -}}
{{- toJson (list $queue.store $queue.store_url_file $queue.min_free_space $queue.max_messages
  ($c.admin | default dict).address ($c.metrics | default dict).address ($c.console | default dict).address
  ($c.alerts | default dict).webhook_url_file ($c.log | default dict).format) | sha256sum -}}
{{- end -}}
