{{/* Names and labels. */}}

{{- define "loadgrid.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "loadgrid" .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-loadgrid" .Release.Name -}}
{{- end -}}
{{- end -}}

{{/* What selects pods: (dict "root" $ "component" "worker") */}}
{{- define "loadgrid.selector" -}}
app.kubernetes.io/name: loadgrid
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of a pod. Not the chart's version: an upgrade that changes nothing else restarts nothing. */}}
{{- define "loadgrid.podlabels" -}}
{{- with .root.Values.commonLabels -}}
{{ toYaml . }}
{{ end -}}
{{ include "loadgrid.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{/* The labels of an object: (dict "root" $ "component" "worker") */}}
{{- define "loadgrid.labels" -}}
{{ include "loadgrid.podlabels" . }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The Secret with a role's certificate: (dict "root" $ "role" "worker") */}}
{{- define "loadgrid.certificate" -}}
{{- if eq .root.Values.tls.mode "existing" -}}
{{- index .root.Values.tls.existing .role -}}
{{- else -}}
{{- printf "%s-%s-tls" (include "loadgrid.fullname" .root) .role -}}
{{- end -}}
{{- end -}}

{{- define "loadgrid.grid" -}}
https://{{ include "loadgrid.fullname" . }}-coordinator:7400
{{- end -}}

{{/* Where workers dial, also a coordinator that is not ready. */}}
{{- define "loadgrid.grid.workers" -}}
https://{{ include "loadgrid.fullname" . }}-coordinator-workers:7400
{{- end -}}

{{- define "loadgrid.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The namespaces with LoadTests and what tests wait for; not with allNamespaces. As JSON. */}}
{{- define "loadgrid.namespaces" -}}
{{- .Values.controller.namespaces | default (list .Release.Namespace) | toJson -}}
{{- end -}}

{{/* Where Leases are. */}}
{{- define "loadgrid.leasenamespace" -}}
{{- .Values.coordinator.leaseNamespace | default .Release.Namespace -}}
{{- end -}}

{{/* The names that the coordinator is reached by, without its role's. As JSON: {dns, ips}. */}}
{{- define "loadgrid.servernames" -}}
{{- $service := printf "%s-coordinator" (include "loadgrid.fullname" .) -}}
{{- $dns := list $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace)
    (printf "%s.%s.svc.%s" $service .Release.Namespace .Values.clusterDomain) (printf "%s-workers" $service) "localhost" -}}
{{- $ips := list "127.0.0.1" "::1" -}}
{{- range .Values.tls.extraNames -}}
{{- if or (regexMatch "^[0-9.]+$" .) (contains ":" .) -}}
{{- $ips = append $ips . -}}
{{- else -}}
{{- $dns = append $dns . -}}
{{- end -}}
{{- end -}}
{{- dict "dns" $dns "ips" $ips | toJson -}}
{{- end -}}
