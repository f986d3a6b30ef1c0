module konflux.dev/tools/pod

go 1.24
