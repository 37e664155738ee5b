// Pulls an image as buildkitd does, with BuildKit's own reading of buildkitd.toml and its own choice of hosts:
//
//	buildkit-pull buildkitd.toml docker.io/library/hello:1
//
// The daemon itself cannot be had from source everywhere.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/util/resolver"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

func main() {
	if err := pull(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pull(ctx context.Context, file, image string) error {
	loaded, err := config.LoadFile(file)
	if err != nil {
		return err
	}
	hosts := resolver.NewRegistryConfig(loaded.Registries)
	images := docker.NewResolver(docker.ResolverOptions{Hosts: hosts})
	name, found, err := images.Resolve(ctx, image)
	if err != nil {
		return err
	}
	fetcher, err := images.Fetcher(ctx, name)
	if err != nil {
		return err
	}
	fetch := func(descriptor ocispecs.Descriptor) ([]byte, error) {
		reader, err := fetcher.Fetch(ctx, descriptor)
		if err != nil {
			return nil, err
		}
		defer reader.Close()
		bytes, err := io.ReadAll(reader)
		if err != nil {
			return nil, err
		}
		if digest := descriptor.Digest.Algorithm().FromBytes(bytes); digest != descriptor.Digest {
			return nil, fmt.Errorf("%s has the digest %s", descriptor.Digest, digest)
		}
		return bytes, nil
	}

	content, err := fetch(found)
	if err != nil {
		return err
	}
	var manifest ocispecs.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return err
	}
	for _, descriptor := range append(manifest.Layers, manifest.Config) {
		bytes, err := fetch(descriptor)
		if err != nil {
			return err
		}
		fmt.Println(descriptor.Digest, len(bytes))
	}
	return nil
}
