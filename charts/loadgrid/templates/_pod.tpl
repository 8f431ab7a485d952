{{/* What all pods have in common. */}}

{{- define "loadgrid.podsecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "loadgrid.containersecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Requests and limits alike: (dict "cpu" … "memory" …) */}}
{{- define "loadgrid.resources" -}}
requests:
  {{- toYaml . | nindent 2 }}
limits:
  {{- toYaml . | nindent 2 }}
{{- end -}}

{{- define "loadgrid.pullsecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where a pod goes: the values of coordinator or worker. */}}
{{- define "loadgrid.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* A role's certificate as a volume. The programs read it again when it changes: no checksum, no restart. */}}
{{- define "loadgrid.tlsvolume" -}}
- name: tls
  secret:
    secretName: {{ include "loadgrid.certificate" . }}
    defaultMode: 0440
{{- end -}}

{{/* The Secrets that tests may use. */}}
{{- define "loadgrid.secretvolumes" -}}
{{- range .Values.secrets }}
- name: secret-{{ . | replace "." "-" | trunc 48 | trimSuffix "-" }}-{{ . | sha256sum | trunc 6 }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "loadgrid.secretmounts" -}}
{{- range .Values.secrets }}
- name: secret-{{ . | replace "." "-" | trunc 48 | trimSuffix "-" }}-{{ . | sha256sum | trunc 6 }}
  mountPath: /etc/loadgrid/secrets/{{ . }}
  readOnly: true
{{- end }}
{{- end -}}
