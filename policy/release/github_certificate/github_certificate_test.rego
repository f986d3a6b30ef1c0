package policy.release.github_certificate_test

import rego.v1

import data.lib.fixtures
import data.policy.release.github_certificate

_signed(certificates) := {"image": object.union(fixtures.image, {"signatures": [signature |
	some certificate in certificates
	signature := {"keyid": "1", "sig": "1", "certificate": certificate}
]})}

_rules(key, value) := {key: [value]}

# Of the repository team/app, whose workflow Release ran for a push to main.
_signer := `-----BEGIN CERTIFICATE-----
MIICBDCCAaqgAwIBAgIUGxhx7SuxwM+1Y3w6WbHPRt+81fIwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjMwOTI1MzVaGA8yMTI2MTAzMDA5MjUz
NVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGbw
oKokriDuR5YE8lbimTBt3zaF68J71IY1T29AE6nvlzdb3RIcV9qTNmTX4u92WsSa
FCT8uj/2H+m/8kj+8HejgeEwgd4wDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoG
CCsGAQUFBwMDMBIGCisGAQQBg78wAQIEBHB1c2gwNgYKKwYBBAGDvzABAwQoMTEx
MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTAVBgorBgEEAYO/
MAEEBAdSZWxlYXNlMBYGCisGAQQBg78wAQUECHRlYW0vYXBwMB0GCisGAQQBg78w
AQYED3JlZnMvaGVhZHMvbWFpbjAdBgNVHQ4EFgQUHI3BT/1gN9HpMddwJc+HM1Fn
vogwCgYIKoZIzj0EAwIDSAAwRQIhAKf2pAoOg1LUezrgd/obV5a5MV5/a0OEnSec
Q3bi/lR2AiB+uaSfSOI2/fHqLMPle6fwMJbN7YRyWMhx/yaLT8cJEA==
-----END CERTIFICATE-----
`

# It may sign code, and says nothing of a workflow.
_plain := `-----BEGIN CERTIFICATE-----
MIIBZzCCAQ6gAwIBAgIUCpaeJLWG4M31sRh5V7bcJrJ9CJswCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjMwOTI1MzVaGA8yMTI2MTAzMDA5MjUz
NVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGbw
oKokriDuR5YE8lbimTBt3zaF68J71IY1T29AE6nvlzdb3RIcV9qTNmTX4u92WsSa
FCT8uj/2H+m/8kj+8HejRjBEMA4GA1UdDwEB/wQEAwIHgDATBgNVHSUEDDAKBggr
BgEFBQcDAzAdBgNVHQ4EFgQUHI3BT/1gN9HpMddwJc+HM1FnvogwCgYIKoZIzj0E
AwIDRwAwRAIgIUYhjsUla7YqIEwoW33Q2HyBd971z0akKTysxYZwPKQCIGdyzBBK
LUZi2o4yLm2QTnpM9npxqVj26hm4U9DHME2p
-----END CERTIFICATE-----
`

# The same as the first, but for servers.
_server := `-----BEGIN CERTIFICATE-----
MIICAzCCAaqgAwIBAgIUdK/AI3u+Evb0pLme2/opJknrdwcwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjMwOTI1MzVaGA8yMTI2MTAzMDA5MjUz
NVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPJH
gGWyR/vzs5xi/nBOTdBG0oomuT6noPwZvlklpdvqhkLZDIguVkoItSILih0c2XFp
ER18bbFk1C0+y0jxsCyjgeEwgd4wDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoG
CCsGAQUFBwMBMBIGCisGAQQBg78wAQIEBHB1c2gwNgYKKwYBBAGDvzABAwQoMTEx
MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTAVBgorBgEEAYO/
MAEEBAdSZWxlYXNlMBYGCisGAQQBg78wAQUECHRlYW0vYXBwMB0GCisGAQQBg78w
AQYED3JlZnMvaGVhZHMvbWFpbjAdBgNVHQ4EFgQU5wgNtpiSCmCorpLF4fu+eGzD
ZoMwCgYIKoZIzj0EAwIDRwAwRAIgRLCsoaPEY2L0lq7sDHSOsXKKS1RFlEgoXyYB
To9dn50CIBeuT5/k0FehvO87QLICfiKG3s2oWpHlgcoEHV6/HYpP
-----END CERTIFICATE-----
`

# The same as the first, but not for signatures.
_without_usage := `-----BEGIN CERTIFICATE-----
MIICBTCCAaqgAwIBAgIUeoZ3lfhQdsdq/APlVV70AFUD5p8wCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjMwOTI1MzVaGA8yMTI2MTAzMDA5MjUz
NVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEJB
VtFYSLCNq2HeMbGbh+1luErAChMmffcZxKek1PNhK+HRnyP+I/kOBBwZpaabCDTB
mSK+LtVWoL1ETWnQAbWjgeEwgd4wDgYDVR0PAQH/BAQDAgUgMBMGA1UdJQQMMAoG
CCsGAQUFBwMDMBIGCisGAQQBg78wAQIEBHB1c2gwNgYKKwYBBAGDvzABAwQoMTEx
MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTAVBgorBgEEAYO/
MAEEBAdSZWxlYXNlMBYGCisGAQQBg78wAQUECHRlYW0vYXBwMB0GCisGAQQBg78w
AQYED3JlZnMvaGVhZHMvbWFpbjAdBgNVHQ4EFgQUDs+x7oaH3r9dKFrbR/m3SpAc
7NIwCgYIKoZIzj0EAwIDSQAwRgIhAJnzOaCxPuPTVNt4yWfIg236B2SBjZ9Hb1+/
+dRL4IvfAiEAn/CiJeXjgIQfhH1zB6yRn9Veee/vtBGV++ZNP0yquok=
-----END CERTIFICATE-----
`

test_permitted_workflows_pass_all_rules if {
	rules := {
		"allowed_gh_workflow_repos": ["team/other", "team/app"],
		"allowed_gh_workflow_refs": ["refs/heads/main"],
		"allowed_gh_workflow_names": ["Release"],
		"allowed_gh_workflow_triggers": ["push"],
	}
	fixtures.none(github_certificate.deny) with input as _signed([_signer]) with data.rule_data as rules
	fixtures.none(github_certificate.warn) with input as _signed([_signer]) with data.rule_data as rules
}

test_without_rule_data_all_workflows_pass if {
	fixtures.none(github_certificate.deny) with input as _signed([_signer])
		with data.rule_data as {}
	fixtures.none(github_certificate.deny) with input as _signed([])
		with data.rule_data as {}
}

test_gh_workflow_repository_fails_for_others if {
	expected := {{
		"code": "github_certificate.gh_workflow_repository",
		"msg": "GitHub Workflow Repository \"team/app\" is not one of allowed_gh_workflow_repos: team/other",
	}}
	fixtures.same(github_certificate.deny, expected) with input as _signed([_signer])
		with data.rule_data as _rules("allowed_gh_workflow_repos", "team/other")
}

test_gh_workflow_ref_fails_for_others if {
	expected := {{
		"code": "github_certificate.gh_workflow_ref",
		"msg": "GitHub Workflow Ref \"refs/heads/main\" is not one of allowed_gh_workflow_refs: refs/tags/v1",
	}}
	fixtures.same(github_certificate.deny, expected) with input as _signed([_signer])
		with data.rule_data as _rules("allowed_gh_workflow_refs", "refs/tags/v1")
}

test_gh_workflow_name_fails_for_others if {
	expected := {{
		"code": "github_certificate.gh_workflow_name",
		"msg": "GitHub Workflow Name \"Release\" is not one of allowed_gh_workflow_names: Build",
	}}
	fixtures.same(github_certificate.deny, expected) with input as _signed([_signer])
		with data.rule_data as _rules("allowed_gh_workflow_names", "Build")
}

test_gh_workflow_trigger_fails_for_others if {
	expected := {{
		"code": "github_certificate.gh_workflow_trigger",
		"msg": "GitHub Workflow Trigger \"push\" is not one of allowed_gh_workflow_triggers: schedule",
	}}
	fixtures.same(github_certificate.deny, expected) with input as _signed([_signer])
		with data.rule_data as _rules("allowed_gh_workflow_triggers", "schedule")
}

test_gh_workflow_repository_fails_without_a_certificate_that_says_it if {
	expected := {{
		"code": "github_certificate.gh_workflow_repository",
		"msg": concat(" ", [
			"No certificate that signed the image has a GitHub Workflow Repository,",
			"which must be one of allowed_gh_workflow_repos",
		]),
	}}
	every certificates in [[], [_plain], [_server], [_without_usage], ["garbage"]] {
		fixtures.same(github_certificate.deny, expected) with input as _signed(certificates)
			with data.rule_data as _rules("allowed_gh_workflow_repos", "team/app")
	}
}

test_gh_workflow_extensions_fails if {
	expected := {{
		"code": "github_certificate.gh_workflow_extensions",
		"msg": concat("", [
			"A certificate that signed the image does not say: GitHub Workflow Name, GitHub Workflow Ref,",
			" GitHub Workflow Repository, GitHub Workflow SHA, GitHub Workflow Trigger",
		]),
	}}
	fixtures.same(github_certificate.warn, expected) with input as _signed([_plain])
		with data.rule_data as {}
}

test_gh_workflow_extensions_passes_over_certificates_that_sign_no_code if {
	fixtures.none(github_certificate.warn) with input as _signed([_server])
		with data.rule_data as {}
	fixtures.none(github_certificate.warn) with input as _signed([_without_usage])
		with data.rule_data as {}
}

test_rule_data_provided_fails if {
	every key in [
		"allowed_gh_workflow_repos",
		"allowed_gh_workflow_refs",
		"allowed_gh_workflow_names",
		"allowed_gh_workflow_triggers",
	] {
		every value in [[1], ["a", "a"], {"a": 1}] {
			"github_certificate.rule_data_provided" in fixtures.codes(github_certificate.deny)
				with input as _signed([_signer])
				with data.rule_data as {key: value}
		}
	}
}

test_gh_workflow_repository_passes if {
	fixtures.none(github_certificate.deny) with input as _signed([_signer])
		with data.rule_data as _rules("allowed_gh_workflow_repos", "team/app")
}

test_gh_workflow_ref_passes if {
	fixtures.none(github_certificate.deny) with input as _signed([_signer])
		with data.rule_data as _rules("allowed_gh_workflow_refs", "refs/heads/main")
}

test_gh_workflow_name_passes if {
	fixtures.none(github_certificate.deny) with input as _signed([_signer])
		with data.rule_data as _rules("allowed_gh_workflow_names", "Release")
}

test_gh_workflow_trigger_passes if {
	fixtures.none(github_certificate.deny) with input as _signed([_signer])
		with data.rule_data as _rules("allowed_gh_workflow_triggers", "push")
}

test_rule_data_provided_passes_for_empty_lists if {
	fixtures.none(github_certificate.deny) with input as _signed([_signer])
		with data.rule_data as {"allowed_gh_workflow_repos": [], "allowed_gh_workflow_names": []}
}
