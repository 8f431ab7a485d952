{{/* Values that contradict each other, which the schema can't tell. All of them in one refusal. */}}

{{- define "loadgrid.check" -}}
{{- $wrong := list -}}
{{- range $part := list "names" "tls" "workers" "store" "reach" "nightly" -}}
{{- $said := include (printf "loadgrid.check.%s" $part) $ | trim -}}
{{- if $said -}}{{- $wrong = append $wrong $said -}}{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n%s\n" (join "\n" $wrong)) -}}
{{- end -}}
{{- end -}}

{{- define "loadgrid.check.names" -}}
{{- $full := include "loadgrid.fullname" . -}}
{{- if gt (len $full) 38 }}
- the name {{ $full }} is longer than 38 characters: set fullnameOverride to a shorter one
{{- end -}}
{{- end -}}

{{- define "loadgrid.check.tls" -}}
{{- $tls := .Values.tls -}}
{{- range $role := list "coordinator" "worker" "operator" -}}
{{- $name := index $tls.existing $role -}}
{{- if and (eq $tls.mode "existing") (not $name) }}
- tls.mode is existing, and tls.existing.{{ $role }} is missing: name a Secret with ca.crt, tls.crt and tls.key
{{- else if and (ne $tls.mode "existing") $name }}
- tls.existing.{{ $role }} is for tls.mode=existing, and the mode is {{ $tls.mode }}: leave one out
{{- else if $name -}}
{{- $found := lookup "v1" "Secret" $.Release.Namespace $name -}}
{{- range $key := list "ca.crt" "tls.crt" "tls.key" -}}
{{- if and $found (not (hasKey ($found.data | default dict) $key)) }}
- tls.existing.{{ $role }}: the Secret {{ $name }} has no {{ $key }}: add it
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (ne $tls.mode "cert-manager") $tls.certManager.issuerRef }}
- tls.certManager.issuerRef is for tls.mode=cert-manager, and the mode is {{ $tls.mode }}: leave one out
{{- end -}}
{{- if and (eq $tls.mode "cert-manager") (not (.Capabilities.APIVersions.Has "cert-manager.io/v1")) }}
- tls.mode is cert-manager, and the cluster does not serve cert-manager.io/v1: install cert-manager first (without a
  cluster: --api-versions cert-manager.io/v1)
{{- end -}}
{{- if and (eq $tls.mode "helm") (ge (int $tls.helm.renewBeforeDays) (int $tls.helm.days)) }}
- tls.helm.renewBeforeDays ({{ int $tls.helm.renewBeforeDays }}) is not less than tls.helm.days ({{ int $tls.helm.days }}): every upgrade would sign anew
{{- end -}}
{{- if and (eq $tls.mode "helm") (gt (int $tls.helm.days) (int $tls.helm.caDays)) }}
- tls.helm.days ({{ int $tls.helm.days }}) is more than tls.helm.caDays ({{ int $tls.helm.caDays }}): a certificate can't outlive its CA
{{- end -}}
{{- end -}}

{{- define "loadgrid.check.workers" -}}
{{- $auto := .Values.autoscaling -}}
{{- if and $auto.enabled (hasKey .Values.worker "replicas") }}
- worker.replicas is set, and autoscaling.enabled is true: set autoscaling.min and autoscaling.max instead
{{- end -}}
{{- if and $auto.enabled (lt (int $auto.max) (int $auto.min)) }}
- autoscaling.max ({{ int $auto.max }}) is less than autoscaling.min ({{ int $auto.min }}): swap them
{{- end -}}
{{- if and .Values.controller.allNamespaces .Values.controller.namespaces }}
- controller.allNamespaces is true, and controller.namespaces has names: leave one out
{{- end -}}
{{- end -}}

{{- define "loadgrid.check.store" -}}
{{- $s3 := .Values.store.s3 -}}
{{- if not $s3.bucket -}}
{{- range $key := list "prefix" "region" "endpoint" "secretName" -}}
{{- if index $s3 $key }}
- store.s3.{{ $key }} is set, and store.s3.bucket is not: name the bucket
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.nightly (not .Values.persistence.enabled) (not $s3.bucket) }}
- persistence.enabled is false, and there are nightly tests: their history would go with the pod. Set
  persistence.enabled=true, or a store in S3 (store.s3.bucket)
{{- end -}}
{{- if and .Values.persistence.existingClaim (not .Values.persistence.enabled) }}
- persistence.existingClaim is set, and persistence.enabled is false: leave one out
{{- end -}}
{{- $volume := .Values.persistence -}}
{{- $claim := printf "%s-coordinator" (include "loadgrid.fullname" .) -}}
{{- $found := and $volume.enabled (not $volume.existingClaim) | ternary (lookup "v1" "PersistentVolumeClaim" .Release.Namespace $claim) dict -}}
{{- if $found -}}
{{- if ne (toJson $found.spec.accessModes) (toJson $volume.accessModes) }}
- persistence.accessModes is {{ join ", " $volume.accessModes }}, and the volume {{ $claim }} that is there has {{ join ", " $found.spec.accessModes }}, which
  can't be changed: leave it, or name another in persistence.existingClaim
{{- end -}}
{{- if and $volume.storageClass (ne ($found.spec.storageClassName | default "") $volume.storageClass) }}
- persistence.storageClass is {{ $volume.storageClass }}, and the volume {{ $claim }} that is there has {{ $found.spec.storageClassName | default "none" }}, which
  can't be changed: leave it, or name another in persistence.existingClaim
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "loadgrid.check.reach" -}}
{{- $monitor := .Values.metrics.serviceMonitor.enabled -}}
{{- if and $monitor .Values.networkPolicy.enabled (not .Values.networkPolicy.httpFrom) }}
- metrics.serviceMonitor.enabled is true, and the NetworkPolicy lets nobody read the metrics: name Prometheus' pods in
  networkPolicy.httpFrom, such as [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
{{- end -}}
{{- if and $monitor (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) }}
- metrics.serviceMonitor.enabled is true, and the cluster does not serve monitoring.coreos.com/v1: install Prometheus'
  operator first (without a cluster: --api-versions monitoring.coreos.com/v1)
{{- end -}}
{{- end -}}

{{- define "loadgrid.check.nightly" -}}
{{- $seen := dict -}}
{{- $results := dict -}}
{{- range $index, $night := .Values.nightly -}}
{{- $what := list -}}
{{- range $key := list "test" "file" "loadTest" -}}
{{- if index $night $key -}}{{- $what = append $what $key -}}{{- end -}}
{{- end -}}
{{- if ne (len $what) 1 }}
- nightly[{{ $index }}] ({{ $night.name }}) has {{ $what | join " and " | default "no test" }}: write one of test, file and loadTest
{{- end -}}
{{- if hasKey $seen $night.name }}
- nightly[{{ $index }}] and nightly[{{ index $seen $night.name }}] are both named {{ $night.name }}: rename one
{{- end -}}
{{- $_ := set $seen $night.name $index -}}
{{- $full := printf "%s-nightly-%s" (include "loadgrid.fullname" $) $night.name -}}
{{- if gt (len $full) 52 }}
- nightly[{{ $index }}]: the CronJob's name {{ $full }} is longer than 52 characters: a shorter name, or fullnameOverride
{{- end -}}
{{- range $key := list "workers" "capacity" "trigger" "rerun" "suspend" -}}
{{- if hasKey ($night.test | default dict) $key }}
- nightly[{{ $index }}] ({{ $night.name }}).test.{{ $key }} is a key of LoadTest resources: {{ has $key (list "workers" "capacity" "suspend") | ternary "write it beside test" "leave it out" }}
{{- end -}}
{{- end -}}
{{- if not $night.file -}}
{{- $what := $night.name -}}
{{- if $night.loadTest -}}{{- $what = include "loadgrid.nightly.loadtest" (dict "root" $ "night" $night) -}}{{- end -}}
{{- $kept := $what | splitList "/" | last -}}
{{- $other := index $results $kept | default dict -}}
{{- if and $other (ne $other.what $what) }}
- nightly[{{ $index }}] and nightly[{{ $other.index }}] are different tests, and both have results of the name {{ $kept }}, which would be one history: rename one of the tests
{{- end -}}
{{- $_ := set $results $kept (dict "what" $what "index" $index) -}}
{{- end -}}
{{- if and $night.files (not $night.test) (not $night.file) }}
- nightly[{{ $index }}] ({{ $night.name }}).files are for test and file, not for loadTest: leave them out
{{- end -}}
{{- if hasKey ($night.files | default dict) "test.yaml" }}
- nightly[{{ $index }}] ({{ $night.name }}).files has test.yaml, which is the test's own name: rename it
{{- end -}}
{{- end -}}
{{- end -}}
