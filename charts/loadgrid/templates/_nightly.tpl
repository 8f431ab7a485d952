{{/* The arguments of `loadgrid nightly`: (dict "root" $ "night" …) */}}
{{- define "loadgrid.nightly.arguments" -}}
{{- $night := .night -}}
- --grid={{ include "loadgrid.grid" .root }}
- --tls-dir=/etc/loadgrid/tls
{{- if $night.capacity }}
- --capacity
{{- if kindIs "map" $night.capacity }}
{{- range $key := list "max" "precision" "budget" }}
{{- with index $night.capacity $key }}
- {{ printf "--%s=%s" $key . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if $night.always }}
- --always
{{- end }}
{{- with $night.notify }}
{{- if .slack }}
- --slack-url-file=/etc/loadgrid/notify/slack/url
{{- end }}
{{- with .github }}
- --github={{ .owner }}/{{ .repo }}
- --github-token-file=/etc/loadgrid/notify/github/token
{{- end }}
{{- with .webhook }}
- {{ printf "--webhook=%s" .url | quote }}
{{- if .secretName }}
- --webhook-token-file=/etc/loadgrid/notify/webhook/token
{{- end }}
{{- end }}
{{- end }}
{{- if $night.loadTest }}
- --load-test={{ include "loadgrid.nightly.loadtest" . }}
{{- else }}
- /etc/loadgrid/test/test.yaml
{{- end }}
{{- end -}}

{{/* NAMESPACE/NAME of a LoadTest; a bare name is of the release's namespace. */}}
{{- define "loadgrid.nightly.loadtest" -}}
{{- if contains "/" .night.loadTest -}}
{{- .night.loadTest -}}
{{- else -}}
{{- printf "%s/%s" .root.Release.Namespace .night.loadTest -}}
{{- end -}}
{{- end -}}
