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
{{- if not (hasPrefix "sqlite:/data/" ((($c.queue | default dict).store) | default "")) -}}
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
{{- toJson (list $queue.store $queue.min_free_space $queue.max_messages
  ($c.admin | default dict).address ($c.metrics | default dict).address ($c.console | default dict).address
  ($c.alerts | default dict).webhook_url_file ($c.log | default dict).format) | sha256sum -}}
{{- end -}}
