{{/* The pod, on whatever its queue is. */}}
{{- define "graphrelay.pod" -}}
{{- $config := include "graphrelay.config" . | fromYaml -}}
{{- $database := include "graphrelay.database" . -}}
metadata:
  labels:
    {{- include "graphrelay.labels" . | nindent 4 }}
    {{- if .Values.workloadIdentity.enabled }}
    azure.workload.identity/use: "true"
    {{- end }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    graphrelay/start-only-settings: {{ include "graphrelay.startOnly" . }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "graphrelay.fullname" . }}
  automountServiceAccountToken: false
  {{- with .Values.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  # Messages being received get 20 s, those being sent 30 s; the rest is kept.
  terminationGracePeriodSeconds: 90
  {{- if $database }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - weight: 50
          podAffinityTerm:
            topologyKey: {{ . }}
            labelSelector:
              matchLabels:
                {{- include "graphrelay.selector" $ | nindent 16 }}
        {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: graphrelay
      image: {{ include "graphrelay.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command: [/usr/bin/graphrelay, serve, --watch-config, -c, /etc/graphrelay/config.yaml]
      {{- with .Values.postgres.caFile }}
      env:
        # Of a URL without sslmode and sslrootcert.
        - name: PGSSLMODE
          value: verify-full
        - name: PGSSLROOTCERT
          value: {{ . }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      ports:
        {{- $ports := list }}
        {{- range $config.smtp.listeners }}
        {{- $ports = append $ports (include "graphrelay.port" .address) }}
        {{- end }}
        {{- range $ports | compact | uniq }}
        - name: smtp-{{ . }}
          containerPort: {{ . }}
          protocol: TCP
        {{- end }}
        - name: metrics
          containerPort: {{ include "graphrelay.port" $config.metrics.address }}
          protocol: TCP
      # After a crash the queue is examined first, which takes time if it is large.
      startupProbe:
        httpGet:
          path: /healthz
          port: metrics
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet:
          path: /healthz
          port: metrics
        periodSeconds: 20
        timeoutSeconds: 10
        failureThreshold: 3
      readinessProbe:
        httpGet:
          path: /readyz
          port: metrics
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- if not $database }}
        - name: data
          mountPath: /data
        {{- end }}
        # Whole folders: a file mounted by subPath never changes.
        - name: config
          mountPath: /etc/graphrelay
          readOnly: true
        {{- range $i, $name := .Values.secrets }}
        - name: secret-{{ $i }}
          mountPath: /secrets/{{ $name }}
          readOnly: true
        {{- end }}
        - name: run
          mountPath: /run/graphrelay
  volumes:
    - name: config
      configMap:
        name: {{ include "graphrelay.fullname" . }}
    {{- range $i, $name := .Values.secrets }}
    - name: secret-{{ $i }}
      secret:
        secretName: {{ $name }}
        defaultMode: 0440
    {{- end }}
    - name: run
      emptyDir:
        medium: Memory
        sizeLimit: 1Mi
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
