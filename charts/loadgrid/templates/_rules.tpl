{{/* What each role may do. */}}

{{/* A Role's name: elsewhere it says whose it is. (dict "root" $ "namespace" ns "role" "coordinator") */}}
{{- define "loadgrid.rolename" -}}
{{- if ne .namespace .root.Release.Namespace -}}{{ .root.Release.Namespace }}-{{- end -}}
{{ include "loadgrid.fullname" .root }}-{{ .role }}
{{- end -}}

{{- define "loadgrid.rules.coordinator" -}}
{{- if .Values.controller.enabled -}}
- apiGroups: [loadgrid.dev]
  resources: [loadtests]
  verbs: [get, list, watch, update, patch]
- apiGroups: [loadgrid.dev]
  resources: [loadtests/status]
  verbs: [get, update, patch]
- apiGroups: [loadgrid.dev]
  resources: [loadtests/finalizers]
  verbs: [update]
- apiGroups: [events.k8s.io, ""]
  resources: [events]
  verbs: [create, patch]
{{ end -}}
# What a test may wait for: `ready`, and `trigger`.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services, endpoints]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [serving.knative.dev]
  resources: [services, revisions]
  verbs: [get, list, watch]
- apiGroups: [serving.kserve.io]
  resources: [inferenceservices]
  verbs: [get, list, watch]
{{- with .Values.readiness.extraRules }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "loadgrid.rules.loadtests" -}}
- apiGroups: [loadgrid.dev]
  resources: [loadtests]
  verbs: [get, list, watch, create, update, patch, delete]
{{- end -}}
