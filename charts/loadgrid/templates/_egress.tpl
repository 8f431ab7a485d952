{{/* Rules of NetworkPolicies. But for the coordinator's, of the values below networkPolicy. */}}

{{- define "loadgrid.egress.dns" -}}
- to:
    {{- toYaml .dns.peers | nindent 4 }}
  ports:
    {{- range .dns.ports }}
    - {port: {{ int . }}, protocol: UDP}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{- define "loadgrid.egress.outside" -}}
- ports:
    {{- range .outside.ports }}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
  {{- with .outside.peers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with .extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "loadgrid.egress.coordinator" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "loadgrid.selector" . | nindent 10 }}
  ports:
    - {port: 7400, protocol: TCP}
{{- end -}}
